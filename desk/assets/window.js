// The page that is shown in this window later must not reach the desk. It may keep a frame of the desk as its opener (pops.js).
if (opener && opener.parent === opener) opener = null;
