import { loadContestant } from './index.mjs'

// The process of one contestant: prints where it listens, and ends at SIGTERM so that a profile gets written.
const [name, directory] = process.argv.slice(2)
const contestant = await loadContestant(name)
process.once('SIGTERM', () => process.exit(0))
process.stdout.write(`${await contestant.listen(directory)}\n`)
