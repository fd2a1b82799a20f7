//go:build !race

package dialplan_test

const raceDetector = false
