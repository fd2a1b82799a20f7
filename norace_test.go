//go:build !race

package main

// raceFactor is how much more memory a program takes that watches for races.
const raceFactor = 1
