// Package httpclient sends HTTP requests for lookups and hooks. It has templates
// whose placeholders are escaped for their place, and a client that never
// outlives its deadline, never repeats a request by itself, never reads without
// a limit, and never takes a response for that of another request.
package httpclient
