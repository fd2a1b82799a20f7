-- A system name may have " @" in it, so that of pbx @home-1700000000.17 the whole is
-- the linkedid, and of 1700000000.17 @pbx what stands before. Which of both it is needs
-- no decision here: values are kept under the linkedid alone.
drop trigger call_forgotten;
create trigger call_left after delete on call begin
	delete from remembered where linkedid in (old.linkedid, iif(instr(old.linkedid, ' @'), substr(old.linkedid, 1, instr(old.linkedid, ' @') - 1), old.linkedid))
		and not exists (select 1 from event where event.linkedid = remembered.linkedid)
		and not exists (select 1 from call where call.linkedid = remembered.linkedid
			or call.linkedid > remembered.linkedid || ' @' and call.linkedid < remembered.linkedid || ' A');
end;
