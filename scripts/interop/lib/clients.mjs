/**
 * The clients, in the order of the table: each a folder beside this one, with a program `URL FILE` that uploads
 * the file, and ends with status 0 when it is up.
 *
 * `needs` is the command without which it can't run. `resumes` says how a client resumes after a cut: `by itself`,
 * or with a call of its own that the program makes. `token` says how the program brings in a new token; the clients
 * in JavaScript have the recipes of `token-recipes.mjs`, and those of the draft have none. `retries` says how often
 * the program tries, and `patient` what it does with `PATIENT` in its environment. `behindNginx` are more variables,
 * for where no 104 comes through.
 */
export const clients = [
  {
    name: 'uppy',
    title: 'Uppy',
    url: 'https://uppy.io',
    language: 'JavaScript',
    needs: 'node',
    resumes: 'by itself',
    retries: 'by default',
    patient: '[`withPatience`](#patience)'
  },
  {
    name: 'tus-js-client',
    title: 'tus-js-client',
    url: 'https://github.com/tus/tus-js-client',
    language: 'JavaScript',
    needs: 'node',
    resumes: 'by itself',
    retries: 'by default',
    patient: '[`withPatience`](#patience)'
  },
  {
    name: 'tus-js-client-5',
    title: 'tus-js-client, next',
    url: 'https://github.com/tus/tus-js-client',
    language: 'JavaScript',
    needs: 'node',
    resumes: 'by itself',
    retries: 'by default',
    patient: '[`withPatience`](#patience)'
  },
  {
    name: 'python',
    title: 'tus-py-client',
    url: 'https://github.com/tus/tus-py-client',
    language: 'Python',
    needs: 'python3',
    resumes: 'by a new `Uploader` with the URL',
    token: '`client.set_headers`, another `Uploader`',
    retries: '5 calls at once',
    patient: '`retries=20, retry_delay=1`'
  },
  {
    name: 'java',
    title: 'tus-java-client',
    url: 'https://github.com/tus/tus-java-client',
    language: 'Java',
    needs: 'mvn',
    resumes: 'by `TusExecutor`',
    token: '`prepareConnection`, another `makeAttempts`',
    retries: 'by default',
    patient: '`setDelays`, 31 s in all'
  },
  {
    name: 'go',
    title: 'tusgo',
    url: 'https://github.com/bdragon300/tusgo',
    language: 'Go',
    needs: 'go',
    resumes: 'by `Sync` and another `ReadFrom`',
    token: '`client.GetRequest`, then `Sync`',
    retries: '5 calls at once',
    patient: '20 calls, 1 s apart'
  },
  {
    name: 'go-tus',
    title: 'go-tus',
    url: 'https://github.com/eventials/go-tus',
    language: 'Go',
    needs: 'go',
    resumes: 'by `ResumeUpload`',
    token: '`client.Header`, then `ResumeUpload`',
    retries: '5 calls at once',
    patient: '20 calls, 1 s apart'
  },
  {
    name: 'rust',
    title: 'tus_client',
    url: 'https://crates.io/crates/tus_client',
    language: 'Rust',
    needs: 'cargo',
    resumes: 'by another `upload`',
    token: 'another `Client`, then `upload`',
    retries: '5 calls at once',
    patient: '20 calls, 1 s apart'
  },
  {
    name: 'ietf-go',
    title: "the draft's Go client",
    url: 'https://github.com/tus/rufh-implementations/tree/main/clients/go',
    language: 'Go',
    needs: 'go',
    resumes: 'by another run',
    retries: '5 runs at once',
    patient: '20 runs, 1 s apart'
  },
  {
    name: 'curl',
    title: 'curl, in the draft',
    url: 'https://curl.se',
    language: 'Bash',
    needs: 'curl',
    resumes: 'by HEAD and PATCH',
    retries: '5 runs at once',
    patient: '20 runs, 1 s apart',
    behindNginx: { CREATE_FIRST: '1' }
  }
]
