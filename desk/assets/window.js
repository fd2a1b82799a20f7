// The page that is shown in this window later must not reach the desk that opened it.
opener = null;
