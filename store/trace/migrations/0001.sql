-- A row holds all points of a moment, one behind the other, each after its
-- length: so their writing costs next to nothing, and reading, which people
-- do now and then, walks over what it does not look for.
create table batch (
	id       integer primary key,
	last_ms  integer not null, -- when the last of them was asked
	body     blob not null
) strict;
