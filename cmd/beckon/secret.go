package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"beckon/internal/seal"
)

// openBox derives the keys from BECKON_SECRET_KEY. With the embedded database
// and no key set, one is made and kept beside the database.
func openBox(c Config) (*seal.Box, error) {
	secret := c.SecretKey
	if secret == "" {
		var err error
		if secret, err = keptSecret(filepath.Join(c.DataDir, "secret.key")); err != nil {
			return nil, fmt.Errorf("the secret key beside the database: %w", err)
		}
	}
	return seal.New([]byte(secret))
}

func keptSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	raw := make([]byte, seal.MinSecret)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	secret := base64.StdEncoding.EncodeToString(raw)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return keptSecret(path) // another start was faster
	}
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(secret + "\n")
	return secret, errors.Join(err, f.Sync(), f.Close())
}
