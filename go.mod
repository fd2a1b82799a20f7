module ringhook

go 1.26.0
