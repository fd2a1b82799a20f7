//go:build race

package answer

// race is whether the race detector is on, with which conversions allocate more.
const race = true
