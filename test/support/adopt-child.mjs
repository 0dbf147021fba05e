// A process that adopts a directory and is killed before one of the calls that change something in it.
//
//   node adopt-child.mjs DIRECTORY tus-server|tusd STEP
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const [directory, from, last] = process.argv.slice(2)
let step = 0

for (const name of ['open', 'writeFile', 'rename', 'rm', 'mkdir', 'link', 'chown', 'utimes']) {
  const call = fs.promises[name]
  fs.promises[name] = (...args) => {
    const isReading = name === 'open' && args[1] === 'r'
    if (!isReading && ++step === Number(last)) process.kill(process.pid, 'SIGKILL')
    return call(...args)
  }
}
syncBuiltinESMExports()

const { adoptDirectory } = await import('../../dist/lib/cli/adopt/directory.js')
const adopted = adoptDirectory({ from, directory, urlPrefix: '/files', write: true, backup: true, claimable: false })
while (!(await adopted.next()).done);
