// Package httpclient is the outgoing HTTP request: a template with placeholders that
// are escaped for where they stand, and a client that never outlives its
// deadline, never repeats a request unasked and never reads without a bound.
// The lookups ask the CRM through it, and the hooks tell their receivers.
package httpclient
