// Licence notices of exactly the packages whose code or files end up in the bundle.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

// For packages that say MIT and ship no text of it.
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

// Monaco carries the font and does not mention it in its notices.
const CODICONS = `Codicons (assets/codicon-*.ttf), CC-BY-4.0, https://github.com/microsoft/vscode-codicons

Copyright (c) Microsoft Corporation. The icons are licensed under the Creative Commons Attribution 4.0 International
Public License, https://creativecommons.org/licenses/by/4.0/legalcode; they are used unmodified.`;

/** The package a file belongs to; null for our own files. */
function packageOf(id) {
  const file = resolve(id.replace(/^\0/, '').replace(/[?#].*$/, ''));
  if (!file.includes('/node_modules/')) return null;
  for (let dir = dirname(file); !dir.endsWith('/node_modules'); dir = dirname(dir)) {
    const manifest = join(dir, 'package.json');
    if (!existsSync(manifest)) continue;
    const { name, version, license, author, repository } = JSON.parse(readFileSync(manifest, 'utf8'));
    // A package.json without them only sets the module type of a folder.
    if (name && version) return { dir, name, version, license, holder: author?.name ?? author, source: urlOf(repository) };
  }
  return null;
}

function urlOf(repository) {
  const url = typeof repository === 'string' ? repository : (repository?.url ?? '');
  return url.replace(/^git\+|\.git$/g, '');
}

/** The licence of a package, and the notices of what it bundles itself. */
function texts({ dir, name, license, holder, source }) {
  const files = readdirSync(dir).filter((file) => /^(licen[cs]e|copying|notice|thirdpartynotices)/i.test(file));
  if (files.length > 0) {
    return files.sort().map((file) => readFileSync(join(dir, file), 'utf8').replace(/\r\n?/g, '\n').trim());
  }
  if (license !== 'MIT') throw new Error(`${name} is bundled and ships no text of its licence, ${license}`);
  return [`Copyright (c) ${holder ?? `the authors of ${source || name}`}\n\n${MIT}`];
}

/** One section per text: a repository's packages mostly share theirs. */
function print(packages) {
  const sections = new Map();
  for (const p of [...packages].sort((a, b) => (a.name + a.version < b.name + b.version ? -1 : 1))) {
    const text = texts(p).join('\n\n');
    const line = [`${p.name} ${p.version}`, p.license, p.source].filter(Boolean).join(', ');
    sections.set(text, [...(sections.get(text) ?? []), line]);
  }
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  const body = [...sections].map(([text, lines]) => `${lines.join('\n')}\n\n${text}`);
  return `${['Notices for the third-party software bundled in this directory.', ...body, CODICONS].join(rule)}\n`;
}

export function notices(fileName) {
  const packages = new Map();
  const add = (id) => {
    const p = packageOf(id);
    if (p) packages.set(`${p.name} ${p.version}`, p);
  };
  return {
    // For the page and, as a plugin of their own, for the workers.
    collect: () => ({
      name: 'shoal-notices-collect',
      generateBundle(_options, bundle) {
        for (const output of Object.values(bundle)) {
          if (output.type === 'chunk') Object.keys(output.modules).forEach(add);
          else output.originalFileNames.forEach(add);
        }
        // Style sheets leave the graph of chunks; whichever was loaded is in the bundle.
        for (const id of this.getModuleIds()) if (/\.css(\?|$)/.test(id)) add(id);
      },
    }),
    write: () => ({
      name: 'shoal-notices-write',
      enforce: 'post',
      generateBundle() {
        this.emitFile({ type: 'asset', fileName, source: print(packages.values()) });
      },
    }),
  };
}
