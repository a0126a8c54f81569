// Package webhook checks what senders deliver: that it was signed by who knows the secret, lately, and whether it was
// taken before.
package webhook
