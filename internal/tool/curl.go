package tool

import (
	"errors"
	"fmt"
	"strings"
)

// fromCurl takes URL and headers out of a curl command line, as a browser's "copy as cURL" or an API's manual has it. A text
// that is none is returned as it is.
func fromCurl(text string) (url string, headers []string, err error) {
	rest, is := strings.CutPrefix(strings.TrimSpace(text), "curl ")
	if !is {
		return text, nil, nil
	}
	words, err := shellWords(rest)
	if err != nil {
		return "", nil, err
	}
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, value, joined := word, "", false
		if strings.HasPrefix(word, "--") {
			name, value, joined = strings.Cut(word, "=")
		} else if len(word) > 2 && word[0] == '-' && strings.ContainsRune("HXAeb", rune(word[1])) {
			name, value, joined = word[:2], word[2:], true
		}
		next := func() string {
			if !joined && i+1 < len(words) {
				i++
				value = words[i]
			}
			return value
		}
		switch name {
		case "-H", "--header":
			headers = append(headers, next())
		case "-A", "--user-agent":
			headers = append(headers, "User-Agent: "+next())
		case "-b", "--cookie":
			headers = append(headers, "Cookie: "+next())
		case "-e", "--referer":
			next()
		case "--url":
			url = next()
		case "-X", "--request":
			if method := next(); method != "GET" {
				return "", nil, fmt.Errorf("the curl command makes a %s; init asks with GET only", method)
			}
		case "-d", "--data", "--data-raw", "--data-binary", "--data-urlencode", "--json", "-F", "--form":
			return "", nil, fmt.Errorf("the curl command sends a body (%s); init asks with GET only", name)
		case "-u", "--user":
			return "", nil, errors.New("the curl command logs in with -u: write auth: {basic: …} into the file that init makes without it")
		case "-o", "--output", "-m", "--max-time", "--connect-timeout", "-x", "--proxy", "--cacert", "--retry":
			next()
		default:
			if !strings.HasPrefix(word, "-") && url == "" {
				url = word
			}
		}
	}
	if url == "" {
		return "", nil, errors.New("the curl command has no URL")
	}
	return url, headers, nil
}

// shellWords splits a command line as a POSIX shell does, without expansions: references such as ${TOKEN} stay.
func shellWords(text string) (words []string, err error) {
	var b strings.Builder
	quote, in := rune(0), false
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == '\'':
			b.WriteRune(r)
		case r == '\\' && i+1 < len(runes):
			i++
			if runes[i] != '\n' {
				b.WriteRune(runes[i])
				in = true
			}
		case quote != 0:
			b.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\n' || r == '\t' || r == '\r':
			if in {
				words = append(words, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the command line has a quote (%c) that does not end", quote)
	}
	if in {
		words = append(words, b.String())
	}
	return words, nil
}
