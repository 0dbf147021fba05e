// Loaded into every process of the server with `--import`: at SIGUSR2 it writes to standard error what the process holds.
process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const resources = process.getActiveResourcesInfo()
  const { heapUsed, external, rss } = process.memoryUsage()
  const counts = { pid: process.pid, timers: resources.filter(name => name === 'Timeout').length, resources: resources.length, heapUsed, external, rss }
  process.stderr.write(`probe ${JSON.stringify(counts)}\n`)
})
