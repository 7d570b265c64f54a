// Leaves only the brotli form of each asset that it makes smaller: the repository and the binary hold a quarter of the
// bytes, and nearly every browser takes them as they are. For others the server unpacks them.

import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';

const assets = new URL('dist/assets/', import.meta.url);

for (const name of readdirSync(assets)) {
  const file = new URL(name, assets);
  const plain = readFileSync(file);
  const packed = brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
  // Fonts are compressed already, and what fits in a packet gains nothing.
  if (plain.length < 1024 || packed.length > plain.length * 0.9) continue;
  writeFileSync(new URL(`${name}.br`, assets), packed);
  rmSync(file);
}
