// The lists of the S3 server in memory, page by page.

export function listObjects ({ bucket, query, name }) {
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const most = Math.min(1000, Number(query.get('max-keys') ?? 1000))
  const token = query.get('continuation-token')
  const after = token ? Buffer.from(token, 'base64').toString() : query.get('start-after') ?? ''
  const Contents = []
  const common = new Set()
  let last = ''
  let truncated = false
  for (const [key, { etag, bytes, modifiedAt }] of bucket.objects.list(prefix, after)) {
    const cut = delimiter ? key.indexOf(delimiter, prefix.length) : -1
    const group = cut === -1 ? null : key.slice(0, cut + delimiter.length)
    if (group !== null && (common.has(group) || after.startsWith(group))) {
      last = key
      continue
    }
    if (Contents.length + common.size === most) {
      truncated = true
      break
    }
    if (group === null) Contents.push({ Key: key, ETag: etag, Size: bytes.length, LastModified: modifiedAt.toISOString(), StorageClass: 'STANDARD' })
    else common.add(group)
    last = key
  }
  return {
    ListBucketResult: {
      Name: name,
      Prefix: prefix,
      KeyCount: Contents.length + common.size,
      MaxKeys: most,
      IsTruncated: truncated,
      ...truncated && { NextContinuationToken: Buffer.from(last).toString('base64') },
      Contents,
      CommonPrefixes: [...common].map(Prefix => ({ Prefix }))
    }
  }
}

export function listUploads ({ bucket, query }) {
  const most = Number(query.get('max-uploads') ?? 1000)
  const all = bucket.multiparts.list(query.get('prefix') ?? '')
  const marker = query.get('upload-id-marker')
  const keyMarker = query.get('key-marker')
  const start = marker ? all.findIndex(({ id }) => id === marker) + 1 : keyMarker ? all.filter(({ key }) => key <= keyMarker).length : 0
  const page = all.slice(start, start + most)
  const truncated = start + most < all.length
  return {
    ListMultipartUploadsResult: {
      IsTruncated: truncated,
      ...truncated && { NextKeyMarker: page.at(-1).key, NextUploadIdMarker: page.at(-1).id },
      Upload: page.map(({ id, key, createdAt }) => ({ Key: key, UploadId: id, Initiated: createdAt.toISOString() }))
    }
  }
}

export function listParts ({ query, bucket: { multiparts }, key }, id) {
  const most = Math.min(1000, Number(query.get('max-parts') ?? 1000))
  const all = multiparts.listParts(key, id).filter(({ number }) => number > Number(query.get('part-number-marker') ?? 0))
  const page = all.slice(0, most)
  const truncated = all.length > most
  return {
    ListPartsResult: {
      IsTruncated: truncated,
      MaxParts: most,
      ...page.length > 0 && { NextPartNumberMarker: page.at(-1).number },
      Part: page.map(({ number, bytes, etag, modifiedAt }) => ({ PartNumber: number, Size: bytes.length, ETag: etag, LastModified: modifiedAt.toISOString() }))
    }
  }
}
