// Package lab tries ringhook on real parts: SIP calls through an Asterisk of
// Debian's, with the dialplan of contrib as an administrator copies it, SIPp as
// trunk and as the agents' phones, the sample CRMs, and the program itself.
//
// `make lab` makes the Asterisks, which are a chroot each; `make e2e` runs the
// calls. The tests move into namespaces of their own first: their network is
// a loopback of its own, so that no port can be taken, and
// whatever they mount or start ends with them, however they end.
package lab
