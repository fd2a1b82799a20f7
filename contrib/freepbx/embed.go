// Package contrib holds the files for FreePBX, for the command that installs them.
package contrib

import "embed"

// Files are the folders of the levels, and of Issabel.
//
//go:embed level1 level2 level3 issabel
var Files embed.FS
