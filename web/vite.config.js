import { defineConfig } from 'vite';
import { notices } from './notices.js';

const licences = notices('LICENSES.txt');

export default defineConfig({
  // Relative, so that the page also works behind a proxy that serves it below a prefix.
  base: './',
  plugins: [licences.collect(), licences.write()],
  // Workers are bundles of their own, with plugins of their own.
  worker: { format: 'es', plugins: () => [licences.collect()] },
  build: {
    // Every browser in reach of the build target preloads modules itself.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // Monaco is one large chunk by nature.
    chunkSizeWarningLimit: 4096,
    // "use client" means nothing where everything is a client.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
