/**
 * Node's HTTP/1, without what an `import` of it brings. An import of `node:http` reads every name that
 * the module exports; three of them (`WebSocket` and its events) load Node's copy of undici then:
 * 80 ms in each process, and 14 MiB in one that does nothing else (Node 24).
 */
const http = process.getBuiltinModule('node:http');
const https = process.getBuiltinModule('node:https');

export const {Agent: HttpAgent, createServer, request: httpRequest, STATUS_CODES} = http;
export const {Agent: HttpsAgent, request: httpsRequest} = https;
