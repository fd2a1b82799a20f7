//go:build e2e

package lab

import (
	"net/url"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// dialect is one way in which CRMs answer.
type dialect struct {
	title       string
	keys        string // of its lookup
	contentType string
	charset     encoding.Encoding
	answer      string
	name, info  string // what shall be on the channels
	token       string // without which it does not answer
}

var dialects = []dialect{{
	title:       "pairs in UTF-8",
	keys:        `format = "pairs"`,
	contentType: "application/x-www-form-urlencoded",
	charset:     unicode.UTF8,
	answer:      url.Values{"CALLERID(name)": {"Zoë & Анна 100%"}, "call_info": {"https://crm.example/17?a=1&b=2"}}.Encode(),
	name:        "Zoë & Анна 100%",
	info:        "https://crm.example/17?a=1&b=2",
}, {
	title:       "raw pairs in windows-1251",
	keys:        `format = "pairs-raw"`,
	contentType: "text/plain; charset=windows-1251",
	charset:     charmap.Windows1251,
	answer:      "CALLERID(name)=Ёлкина & Сын №1 +5%&call_info=договор 17",
	name:        "Ёлкина & Сын №1 +5%",
	info:        "договор 17",
}, {
	title: "raw pairs in windows-1255, said to be UTF-8",
	keys: `format = "pairs-raw"
charset = "windows-1255"`,
	contentType: "text/html; charset=UTF-8",
	charset:     charmap.Windows1255,
	answer:      "CALLERID(name)=דָּוִד כהן&call_info=לקוח 17",
	name:        "דָּוִד כהן",
	info:        "לקוח 17",
}, {
	title: "JSON in UTF-8",
	keys: `format = "json"
[lookup.map]
"CALLERID(name)" = ".contact.name"
call_info = '"https://crm.example/\(.contact.id)?город=\(.contact.city)"'`,
	contentType: "application/json",
	charset:     unicode.UTF8,
	answer:      `{"contact": {"id": 12345678901234567890, "name": "Жанна 🦄 \u041e\u0440\u043b\u043e\u0432\u0430 \ud83d\ude42", "city": "Пермь"}}`,
	name:        "Жанна 🦄 Орлова 🙂",
	info:        "https://crm.example/12345678901234567890?город=Пермь",
}, {
	title: "XML in windows-1251 by its declaration",
	keys: `format = "xml"
[lookup.map]
"CALLERID(name)" = "//client/name"
call_info = "//client/@card"`,
	contentType: "text/xml",
	charset:     charmap.Windows1251,
	answer: `<?xml version="1.0" encoding="windows-1251"?>
<answer><client card="https://crm.example/17?a=1&amp;b=щ"><name>Щукин &lt;ёж&gt;</name></client></answer>`,
	name: "Щукин <ёж>",
	info: "https://crm.example/17?a=1&b=щ",
}, {
	title: "XML in ISO-8859-8",
	keys: `format = "xml"
charset = "iso-8859-8"
records = "//client"
[lookup.map]
"CALLERID(name)" = "name"
call_info = "concat(@city, ' ', @id)"`,
	contentType: "text/xml",
	charset:     charmap.ISO8859_8,
	answer:      `<answer><client id="17" city="חיפה"><name>שרה לוי</name></client></answer>`,
	name:        "שרה לוי",
	info:        "חיפה 17",
}, {
	title: "text in KOI8-R: the name",
	keys: `format = "text"
charset = "koi8-r"`,
	contentType: "text/plain",
	charset:     charmap.KOI8R,
	answer:      "Юрий Гагарин & К=5%\r\n",
	name:        "Юрий Гагарин & К=5%",
}, {
	title: "text in KOI8-R: call_info",
	keys: `format = "text"
charset = "koi8-r"
variable = "call_info"`,
	contentType: "text/plain",
	charset:     charmap.KOI8R,
	answer:      "заявка 17, ждёт",
	name:        "As sent",
	info:        "заявка 17, ждёт",
}, {
	title: "JSON behind OAuth2",
	keys: `format = "json"
records = ".contacts[]"
oauth2 = { token_url = "https://crm.example/token", client_id = "ringhook", client_secret = "s3cret" }
[lookup.map]
"CALLERID(name)" = ".name"
call_info = ".card"`,
	contentType: "application/json",
	charset:     unicode.UTF8,
	answer:      `{"contacts": [{"name": "Ольга", "card": "https://crm.example/17"}]}`,
	name:        "Ольга",
	info:        "https://crm.example/17",
	token:       "a-token-of-the-lab",
}}
