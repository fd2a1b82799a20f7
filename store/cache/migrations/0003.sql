-- Up to which forgotten number of a database that several servers share this file was purged. It is empty if it is not shared.
create table followed (
	only       integer primary key check (only = 1),
	source     text not null,
	generation integer not null
) strict;
