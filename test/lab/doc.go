// Package lab tries ringhook on real parts: SIP calls through an Asterisk of
// Debian's, with the dialplan of contrib as an administrator copies it, SIPp as
// trunk and as the agents' phones, the sample CRMs, and the program itself.
//
// `make lab` makes the Asterisks, which are a chroot each; `make e2e` runs the
// calls, with both Asterisks at once. The tests move into namespaces of their own first: their network is
// a loopback of its own, so that no port can be taken, and
// whatever they mount or start ends with them, however they end.
//
// Nothing waits for a time to pass. A caller or a phone that must still be there when something else has happened hangs
// up on a signal, and what must come is waited for as long as test/wait says.
package lab
