//nolint:tagalign // aligned, the sentences would push the bounds out of sight
package file

// eventsFile is a stream of Server-Sent Events.
type eventsFile struct {
	Types texts    `key:"types" doc:"Types of events that become records, such as update; message is that of events without one. Absent: all."`
	Wrap  flag     `key:"wrap" doc:"true: a record is an object with the id, the event (its type) and the data of an event, which is a text unless it is JSON. false: the record is the data." default:"false"`
	Idle  duration `key:"idle" doc:"After so long without a byte, be it a comment, the connection is taken for dead and opened again." min:"1s" max:"24h" default:"5m"`
}

// jobFile is a report job.
type jobFile struct {
	ID         dottedPath `key:"id" doc:"Field that names the job, in the answer to the request that creates it: id."`
	IDHeader   text       `key:"id_header" doc:"Header with the name, in the place of id: Location, Operation-Location."`
	StatusPath text       `key:"status_path" doc:"Path that tells how far the job is, with {job} for its name: /reports/{job}. Absent: the name is a URL, which tells it."`
	Done       text       `key:"done,required" doc:"An expression over that answer which is true when the job is done: status == \"done\"."`
	Failed     text       `key:"failed" doc:"An expression over that answer which is true when the job has failed: then another is created, after retry.max. Absent: none is known to fail."`
	Poll       duration   `key:"poll" doc:"From one question to the next." min:"10ms" max:"1h" default:"5s"`
	Timeout    duration   `key:"timeout" doc:"How long a job may take; then another is created." min:"1s" max:"720h" default:"6h"`
	Result     dottedPath `key:"result" doc:"Field of that answer with the URL of the file, or a list of URLs; another host than that of base_url must be in allow_hosts."`
	ResultPath text       `key:"result_path" doc:"Path of the file, in the place of result, with {job} for the name of the job: /reports/{job}/content."`
}

// webhooksFile is where deliveries are taken.
type webhooksFile struct {
	Listen  text `key:"listen,required" doc:"Address to listen on, host:port; :8090 is all addresses of the host. It speaks no TLS: a proxy before it does."`
	MaxBody size `key:"max_body" doc:"Largest delivery that is taken." min:"1KiB" max:"64MiB" default:"1MiB"`
}

// webhookFile is a stream that is delivered.
type webhookFile struct {
	Path    text               `key:"path,required" doc:"Path that deliveries are POSTed to, such as /hooks/github. Several streams may share it, and verify with it."`
	Verify  choice[verifyFile] `key:"verify,required" doc:"How a delivery proves who sent it; none: it does not, and anybody who reaches the address may deliver." words:"none"`
	Types   texts              `key:"types" doc:"Types of deliveries that are this stream's, by type_header or type_field; absent: all."`
	Deletes texts              `key:"deletes" doc:"Types of deliveries that say that the record is gone: a tombstone is written, and its row is deleted."`
	Type    text               `key:"type_header" doc:"Header with the type of a delivery; absent: X-GitHub-Event of GitHub, X-Shopify-Topic of Shopify."`
	TypeAt  dottedPath         `key:"type_field" doc:"Field of the body with the type, in the place of type_header; absent: type of Stripe."`
	When    text               `key:"when" doc:"An expression over the body that is true of the deliveries that are this stream's: action != \"ping\". Absent: all."`
	ID      text               `key:"id_header" doc:"Header with the id of a delivery, which is the same when it is sent again; absent: X-GitHub-Delivery of GitHub, X-Shopify-Webhook-Id of Shopify."`
	IDAt    dottedPath         `key:"id_field" doc:"Field of the body with that id, in the place of id_header; absent: id of Stripe."`
}

// verifyFile is how deliveries are signed.
type verifyFile struct {
	_         struct{}         `one:"github stripe shopify hmac"`
	GitHub    secrets          `key:"github" doc:"The secret of a webhook of GitHub: X-Hub-Signature-256. A list, while it is changed: one must have signed."`
	Stripe    secrets          `key:"stripe" doc:"The signing secret of an endpoint of Stripe (whsec_…): Stripe-Signature, with its time. A list, while it is changed."`
	Shopify   secrets          `key:"shopify" doc:"The client secret of an app of Shopify: X-Shopify-Hmac-Sha256. A list, while it is changed."`
	HMAC      object[hmacFile] `key:"hmac" doc:"Any other HMAC over the body."`
	Tolerance duration         `key:"tolerance" doc:"How old a signature with a time may be." min:"1s" max:"24h" default:"5m"`
}

// hmacFile is the general form of a signature.
type hmacFile struct {
	Secret    secrets `key:"secret,required" doc:"The secret. A list, while it is changed: one must have signed."`
	SecretIn  text    `key:"secret_encoding" doc:"How the secret is written: text, as it is; base64, behind whsec_ or nothing." words:"text base64" default:"text"`
	Header    text    `key:"header,required" doc:"Header with the signature, or with several, with blanks or commas between them."`
	Prefix    text    `key:"prefix" doc:"What stands before each signature, such as sha256=, v0= or \"v1,\"; absent: nothing."`
	Hash      text    `key:"hash" doc:"The hash of the HMAC." words:"sha256 sha1 sha512" default:"sha256"`
	Encoding  text    `key:"encoding" doc:"How a signature is written." words:"hex base64" default:"hex"`
	Signed    text    `key:"signed" doc:"What is signed: {body}, and {NAME} for the value of a header." default:"{body}"`
	Timestamp text    `key:"timestamp" doc:"Header with the time of the signature, in seconds since 1970; it must be in signed. Absent: it has no time, and an old delivery can be sent again by who has seen it."`
}

// cronFile is when passes begin.
type cronFile struct {
	At   text `key:"at,required" doc:"Minute, hour, day of the month, month and day of the week; or @hourly, @daily, @weekly, @monthly."`
	Zone text `key:"time_zone" doc:"Zone of these times. One that the clock leaves out in spring is meant later by what it was set forward; one that it shows twice in autumn is meant once." default:"UTC" examples:"Europe/Berlin"`
}

// jwtFile is a token that is signed here.
type jwtFile struct {
	_              struct{}        `one:"key service_account"`
	Key            secret          `key:"key" doc:"Private key in PEM; of HS256 a text. ${file:PATH} reads it from a file."`
	ServiceAccount secret          `key:"service_account" doc:"Key file of a Google service account, as ${file:PATH}: it has the key and its id, the issuer, the audience and token_url."`
	Algorithm      text            `key:"algorithm" doc:"How it is signed (RFC 7518)." words:"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA HS256 HS384 HS512" default:"RS256"`
	KeyID          text            `key:"key_id" doc:"Id of the key, kid in the header."`
	Issuer         text            `key:"issuer" doc:"Claim iss; with grant: client it is the client's id, too."`
	Subject        text            `key:"subject" doc:"Claim sub: for whom it speaks, such as the user that a service account acts for."`
	Audience       text            `key:"audience" doc:"Claim aud: for whom the token is, such as the URL of the token endpoint."`
	Scopes         texts           `key:"scopes" doc:"Scopes that are asked for."`
	Claims         mapping[text]   `key:"claims" doc:"More claims, by name, which are texts."`
	Lifetime       duration        `key:"lifetime" doc:"How long a token that is signed here is good: its claim exp." min:"30s" max:"24h" default:"10m"`
	TokenURL       text            `key:"token_url" doc:"Where it is exchanged for an access token; absent: it is sent as Bearer itself."`
	Grant          text            `key:"grant" doc:"How it is exchanged: jwt, it is the grant, as of Google; client, it stands for a client's secret in client credentials." words:"jwt client" default:"jwt"`
	Params         mapping[secret] `key:"params" doc:"More parameters of the exchange."`
}

// awsFile are credentials of AWS.
type awsFile struct {
	Region       text   `key:"region,required" doc:"Region that is signed for: eu-central-1."`
	Service      text   `key:"service,required" doc:"Service that is signed for: execute-api of an API Gateway, es of OpenSearch, s3."`
	AccessKey    text   `key:"access_key,required" doc:"Id of the access key."`
	SecretKey    secret `key:"secret_key,required" doc:"Secret of the access key."`
	SessionToken secret `key:"session_token" doc:"Token of temporary credentials; absent: they are none."`
}
