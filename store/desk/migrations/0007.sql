-- Rises with each end of a session or a token before its time, so that a running server ends the pages that had it.
alter table revision add column ended integer not null default 0;
