/** Documents of projects: the route runs when all of the document is there, however it came. `save` notes it and resolves to an id. */
export function acceptDocuments (app, save) {
  app.post('/projects/:project/documents', app.tus.resumable(async (request, reply) => {
    const { id, length, metadata } = request.upload
    const document = await save(request.params.project, { upload: id, length, name: metadata.filename, type: metadata.filetype })
    return reply.code(201).send({ document })
  }))
}
