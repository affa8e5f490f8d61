// Builds the package for both module systems. Its one dependency is bundled, because its CommonJS build has another
// shape than its types say.
import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: 'src/index.ts',
  format: ['esm', 'cjs'],
  dts: { resolver: 'tsc' },
  platform: 'neutral',
  deps: { alwaysBundle: ['openapi-fetch', 'openapi-typescript-helpers'] },
  logLevel: 'warn',
});
