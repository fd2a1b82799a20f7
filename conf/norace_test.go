//go:build !race

package conf

// raceFactor is the factor of memory that a program needs with the race detector.
const raceFactor = 1
