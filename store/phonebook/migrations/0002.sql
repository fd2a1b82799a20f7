-- Of which phonebook in PostgreSQL this is a copy, and up to which of its generations. It is empty if this is none.
create table copy (
	only       integer primary key check (only = 1),
	source     text not null,
	generation integer not null
) strict;
