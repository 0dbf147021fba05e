/**
 * The clients, in the order of the table: each a folder beside this one, with a program `URL FILE` that uploads the file, and ends with status 0 when it is
 * up.
 *
 * `needs` is the command without which it can't run. `resumes` says how a client goes on after a cut: `by itself`, or with a call of its own that the
 * program makes. `token` says how the program brings in a new token; the clients in JavaScript have the recipes of `token-recipes.mjs`.
 */
export const clients = [
  { name: 'uppy', title: 'Uppy', url: 'https://uppy.io', language: 'JavaScript', needs: 'node', resumes: 'by itself' },
  { name: 'tus-js-client', title: 'tus-js-client', url: 'https://github.com/tus/tus-js-client', language: 'JavaScript', needs: 'node', resumes: 'by itself' },
  { name: 'tus-js-client-5', title: 'tus-js-client, next', url: 'https://github.com/tus/tus-js-client', language: 'JavaScript', needs: 'node', resumes: 'by itself' },
  { name: 'python', title: 'tus-py-client', url: 'https://github.com/tus/tus-py-client', language: 'Python', needs: 'python3', resumes: 'by a new `Uploader` with the URL', token: '`client.set_headers`, another `Uploader`' },
  { name: 'java', title: 'tus-java-client', url: 'https://github.com/tus/tus-java-client', language: 'Java', needs: 'mvn', resumes: 'by `TusExecutor`', token: '`prepareConnection`, another `makeAttempts`' },
  { name: 'go', title: 'tusgo', url: 'https://github.com/bdragon300/tusgo', language: 'Go', needs: 'go', resumes: 'by `Sync` and another `ReadFrom`', token: '`client.GetRequest`, then `Sync`' },
  { name: 'go-tus', title: 'go-tus', url: 'https://github.com/eventials/go-tus', language: 'Go', needs: 'go', resumes: 'by `ResumeUpload`', token: '`client.Header`, then `ResumeUpload`' },
  { name: 'rust', title: 'tus_client', url: 'https://crates.io/crates/tus_client', language: 'Rust', needs: 'cargo', resumes: 'by another `upload`', token: 'another `Client`, then `upload`' }
]
