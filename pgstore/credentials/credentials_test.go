package credentials_test

import (
	"testing"

	"ringhook/pgstore/credentials"
	"ringhook/pgstore/sidetest"
	"ringhook/store/storetest"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

func TestCredentials(t *testing.T) {
	storetest.RunCredentials(t, func(t *testing.T) (a, b storetest.Credentials, reopen func() storetest.Credentials) {
		dsn := sidetest.Database(t)
		open := func() storetest.Credentials { return credentials.New(sidetest.Open(t, dsn)) }
		return open(), open(), open
	})
}
