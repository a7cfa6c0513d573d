"""The HTTP service: one photo in the body of a request, its depth in the response.

`server` owns the sockets and the end of the process, `middleware` what all requests share (host
check, framing, headers, metrics, log), `app` the routes, `query` the options of a request,
`bodies` its photo, `limits` what it may cost, `request_queue` the bounded queue, `batcher` the
network that threads share, `responses` the response bodies, `page` the page at `/`.
`model_context` serves the same estimates over another protocol, for `glpn mcp`.
"""
