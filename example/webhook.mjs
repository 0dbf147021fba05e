/**
 * Tells `url` of each complete upload, again and again until it answers 2xx: across restarts, and from one of any number of processes.
 * It may hear of an upload twice, and knows it by its id.
 */
export async function notify (app, url, signal) {
  for await (const claim of app.tus.claims({ signal })) {
    const { id, length, metadata } = claim.upload
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': id },
        body: JSON.stringify({ id, length, metadata }),
        signal: AbortSignal.timeout(10_000)
      })
      if (!response.ok) throw new Error(`the answer was ${response.status}`)
      await claim.done()
    } catch (error) {
      // A claim that is not done is given back, and comes again in a second.
      app.log.warn({ err: error, id }, 'a webhook was not heard')
    }
  }
}
