package disk

import "sync/atomic"

// Room decides how much of a file system data that can be rebuilt may take: it
// must never take the room of data that must not be lost. Safe for concurrent use.
type Room struct {
	folder string
	least  int64 // free bytes below which such data is given back
	short  atomic.Bool
}

// NewRoom returns the room beside a reserve in a folder.
func NewRoom(folder string, reserve *Reserve) *Room {
	return &Room{folder: folder, least: reserve.size}
}

// SetShort says whether data that must not be lost lacks room now.
func (r *Room) SetShort(short bool) { r.short.Store(short) }

// Enough reports whether data that can be rebuilt may grow: nothing lacks room, and
// three times the reserve is free, of which taking the reserve back needs two.
func (r *Room) Enough() bool { return !r.short.Load() && r.left() >= 3*r.least }

// Scarce reports whether data that can be rebuilt has to go: less than the
// reserve is free.
func (r *Room) Scarce() bool { return r.left() < r.least }

// left returns the free bytes. A file system that cannot say is not full.
func (r *Room) left() int64 {
	n, err := free(r.folder)
	if err != nil {
		return 3 * r.least
	}
	return n
}
