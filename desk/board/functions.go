package board

import (
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// functions are those of the templates.
var functions = template.FuncMap{
	"num": number, "name": isolated, "clock": clock, "day": day, "stamp": stamp, "duration": lasted, "ms": milliseconds, "has": strings.Contains, "join": strings.Join,
	"segment": url.PathEscape, // an id may have slashes
}

// number writes a number, id, time or URL, which is always written from left to right.
func number(v any) template.HTML {
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case int:
		text = strconv.Itoa(v)
	case int64:
		text = strconv.FormatInt(v, 10)
	}
	return template.HTML(`<bdi dir="ltr" class="num">` + template.HTMLEscapeString(text) + `</bdi>`) //nolint:gosec // escaped
}

// isolated writes a name, whose direction does not turn the text around it.
func isolated(s string) template.HTML {
	return template.HTML(`<bdi>` + template.HTMLEscapeString(s) + `</bdi>`) //nolint:gosec // escaped
}

// clock writes a time of day.
func clock(t time.Time) template.HTML { return timeElement(t, time.TimeOnly) }

// stamp writes a time of day with milliseconds.
func stamp(t time.Time) template.HTML { return timeElement(t, "15:04:05.000") }

// day writes a date and a time of day.
func day(t time.Time) template.HTML { return timeElement(t, "2006-01-02 15:04:05") }

func timeElement(t time.Time, format string) template.HTML {
	if t.IsZero() {
		return number("–")
	}
	return template.HTML(`<time datetime="`+t.Format(time.RFC3339)+`">`) + number(t.Local().Format(format)) + "</time>"
}

// lasted writes seconds as 1:07 or 1:02:07; a dash for less than none.
func lasted(s int) template.HTML {
	if s < 0 {
		return number("–")
	}
	two := func(n int) string {
		if n < 10 {
			return "0" + strconv.Itoa(n)
		}
		return strconv.Itoa(n)
	}
	if s < 3600 {
		return number(strconv.Itoa(s/60) + ":" + two(s%60))
	}
	return number(strconv.Itoa(s/3600) + ":" + two(s/60%60) + ":" + two(s%60))
}
