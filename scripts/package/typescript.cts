import tus = require('fastify-tus')
import fs = require('fastify-tus/fs')
import fastify = require('fastify')

const app = fastify.fastify()
app.register(tus, { storage: fs.createFsStorage({ directory: './uploads' }) })
if (typeof tus !== 'function') throw new Error('it is no plugin')
