"""The HTTP service: one photograph in the body of a request, its depth in the answer.

`app` holds the routes, `page` the page at `/`, `query` what a caller may ask, `limits` what a
request may cost, `request_queue` the bounded queue, `batcher` the network shared by threads,
`responses` the bodies, `middleware` what is common to every answer (headers, log, metrics),
`server` the socket and the end of the process.
"""
