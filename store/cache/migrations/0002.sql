-- What has expired, and what has to go first where there are too many entries.
create index entry_expires on entry (expires_ms);
create index entry_worst on entry (missing desc, used_ms);

-- Numbers that were to be forgotten, by a hash: an answer for which the source was
-- asked before that must not come back. Number 0 stands for all. Kept for minutes.
create table forgotten (
	number integer primary key,
	at_ms  integer not null
) strict;
