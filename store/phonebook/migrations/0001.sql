-- One entry for each number, found by one search in the table itself. The
-- variables are a JSON object, so that other programs can read them too.
create table entry (
	number text primary key,
	vars   text not null
) strict, without rowid;
