import neostandard, { plugins } from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', '.tap', '**/node_modules', 'bench/build'] }),
  {
    // A promise that nobody waits for is an error that nobody sees.
    files: ['lib/**/*.ts', 'adapters/**/*.ts', 'page/**/*.ts'],
    plugins: { 'typed-eslint': plugins['typescript-eslint'].plugin },
    languageOptions: {
      parser: plugins['typescript-eslint'].parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname }
    },
    rules: { 'typed-eslint/no-floating-promises': 'error', 'typed-eslint/no-misused-promises': ['error', { checksVoidReturn: false }] }
  }
]
