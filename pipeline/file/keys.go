//nolint:tagalign // aligned, the sentences would push the bounds out of sight
package file

// The types of this file are the pipeline file itself: which keys there are, of what kind and within which
// bounds, and what an editor says of them. The loader's known keys and the JSON Schema both come from them, so
// they cannot differ. Tags: key is the name of the key and ",required"; doc its description; min, max and words
// bound its values; default is what stands in for the key where it is absent; "one" lists keys of which exactly
// one must be there.

type pipelineFile struct {
	Pipeline text                 `key:"pipeline,required" doc:"Name of the pipeline: the prefix of its topics, consumer groups and transactional ids." pattern:"name"`
	DataDir  text                 `key:"data_dir" doc:"Where the embedded Kafka and database keep their files." default:".millrace/<pipeline>"`
	Kafka    choice[kafkaFile]    `key:"kafka" doc:"The brokers and how topics are made, or embedded: a broker in the process." words:"embedded" default:"embedded"`
	Database choice[databaseFile] `key:"database" doc:"Where the rows go, or embedded: a SQLite file in data_dir." words:"embedded" default:"embedded"`
	Webhooks object[webhooksFile] `key:"webhooks" doc:"Where ingest listens for the streams that are delivered by webhooks."`
	HTTP     object[httpFile]     `key:"http" doc:"How requests are made. Each key may stand in a stream's ingest too, and wins there."`
	Defaults object[defaultsFile] `key:"defaults" doc:"What streams share. The stream's own key wins."`
	Streams  mapping[streamFile]  `key:"streams,required" doc:"The streams, by name: each is one API resource, its topics, its steps and its table." names:"name" minItems:"1"`
}

type kafkaFile struct {
	Brokers        texts            `key:"brokers,required" doc:"Addresses of some of the brokers, host:port each; the others are found through them."`
	TLS            object[tlsFile]  `key:"tls" doc:"The brokers speak TLS. {} trusts the system's certificate authorities."`
	SASL           object[saslFile] `key:"sasl" doc:"How to log in to the brokers; absent: nobody logs in."`
	Partitions     integer          `key:"partitions" doc:"Partitions of the raw, processed and dead-letter topics: how many processes can share a stream. More of them later: millrace topics grow; fewer there cannot be." min:"1" max:"10000" default:"6"`
	Replication    integer          `key:"replication" doc:"Replication factor of the topics; -1 is the brokers' default." min:"-1" max:"100" default:"-1"`
	RawRetention   duration         `key:"raw_retention" doc:"How long raw topics keep their records; 0s is for ever. What is gone cannot be processed again." max:"876000h" default:"0s"`
	Retention      duration         `key:"retention" doc:"How long processed topics keep their records; 0s is for ever." max:"876000h" default:"168h"`
	MaxRecordBytes size             `key:"max_record_bytes" doc:"The largest record that is accepted." min:"16KiB" max:"256MiB" default:"1MiB"`
}

type tlsFile struct {
	CAFile     text `key:"ca_file" doc:"PEM file of the certificate authorities to trust; absent: the system's."`
	CertFile   text `key:"cert_file" doc:"PEM file of the client certificate; with key_file."`
	KeyFile    text `key:"key_file" doc:"PEM file of the client certificate's key."`
	ServerName text `key:"server_name" doc:"Name that the server's certificate must have; absent: the host that is dialled."`
}

type saslFile struct {
	Mechanism text   `key:"mechanism,required" doc:"How the password is shown to the broker." words:"PLAIN SCRAM-SHA-256 SCRAM-SHA-512"`
	Username  text   `key:"username,required" doc:"User that logs in to the brokers."`
	Password  secret `key:"password,required" doc:"Password of that user; a reference such as ${KAFKA_PASSWORD} keeps it out of the file."`
}

type databaseFile struct {
	MySQL secret `key:"mysql,required" doc:"Address of MySQL and who logs in, user:password@tcp(host:port)/schema; a reference such as ${MYSQL_PASSWORD} keeps the password out of the file."`
}

type defaultsFile struct {
	Ingest object[ingestSharedFile] `key:"ingest" doc:"Keys of ingest for every stream; a stream's own key wins."`
}

type httpFile struct {
	BaseURL   text                  `key:"base_url" doc:"The API's address, such as https://api.example.com/v2; the path of each stream is appended to it."`
	Headers   mapping[secret]       `key:"headers" doc:"Headers that are sent with each request to scheme, host and port of base_url, by name; values may hold placeholders, as those of query. A header whose placeholder stands for nothing is not sent." empty:"ok"`
	Auth      choice[authFile]      `key:"auth" doc:"How requests prove who sends them; none: they do not. It is sent to scheme, host and port of base_url alone." words:"none"`
	Hosts     texts                 `key:"allow_hosts" doc:"Hosts that next links and redirects may lead to, beside scheme, host and port of base_url: a name; *.example.com, all names below it, or *, any, but then no address of a private network. Absent: none. Credentials stay at home in any case."`
	TLS       object[tlsFile]       `key:"tls" doc:"Certificate authorities and client certificate for an https base_url; absent: the system's authorities, and none."`
	RateLimit object[rateLimitFile] `key:"rate_limit" doc:"How many requests may be sent; streams of the same host and limit share it."`
	Charset   text                  `key:"charset" doc:"Character set of bodies, such as iso-8859-1, whatever their Content-Type says; absent: as that says, else UTF-8, or UTF-16 by its byte order mark."`
	MaxBody   size                  `key:"max_body" doc:"Largest body that is received, without its content coding; a larger one is an error." min:"1KiB" max:"1024GiB" default:"16GiB"`
	Timeout   duration              `key:"timeout" doc:"How long one request may take, from dialling to the last byte of the body." min:"100ms" max:"1h" default:"30s"`
	Retry     object[retryFile]     `key:"retry" doc:"What is done when a request fails."`
}

type authFile struct {
	_      struct{}           `one:"bearer api_key basic oauth2 login jwt aws"`
	Bearer secrets            `key:"bearer" doc:"Token that is sent as Authorization: Bearer; a reference such as ${TOKEN} keeps it out of the file. A list of tokens: when the quota of one is used up, or it is refused, another takes its turn."`
	APIKey object[apiKeyFile] `key:"api_key" doc:"A key in a header or in a query parameter."`
	Basic  object[basicFile]  `key:"basic" doc:"A user and a password (RFC 7617)."`
	OAuth2 object[oauth2File] `key:"oauth2" doc:"Access tokens from a token endpoint (RFC 6749): by client credentials, or with a refresh token. A token that is refused with 401 is renewed once."`
	JWT    object[jwtFile]    `key:"jwt" doc:"A token that is signed here (RFC 7519): sent as it is, or exchanged for an access token, as by service accounts (RFC 7523)."`
	AWS    object[awsFile]    `key:"aws" doc:"Requests are signed as AWS asks for (Signature Version 4)."`
	Login  object[loginFile]  `key:"login" doc:"A request that answers with a token, which is sent with all others. One that is refused with 401 is renewed once."`
}

type basicFile struct {
	Username text   `key:"username,required" doc:"Name of the user."`
	Password secret `key:"password,required" doc:"Password of the user; it may be empty." empty:"ok"`
}

type oauth2File struct {
	TokenURL     text            `key:"token_url,required" doc:"URL of the token endpoint, such as https://auth.example.com/oauth/token."`
	ClientID     text            `key:"client_id,required" doc:"Identifier of this client."`
	ClientSecret secret          `key:"client_secret" doc:"Secret of this client; absent: it has none."`
	ClientAuth   text            `key:"client_auth" doc:"Where client_id and client_secret go: header, as basic authentication; body, as parameters." words:"header body" default:"header"`
	Scopes       texts           `key:"scopes" doc:"Scopes that are asked for; absent: those that the API gives by default."`
	Params       mapping[secret] `key:"params" doc:"More parameters of the token request, such as audience."`
	RefreshToken secret          `key:"refresh_token" doc:"First refresh token; those that the API gives later are kept in ingest's state topic, encrypted, before they are used. Absent: client credentials."`
	Key          secret          `key:"key" doc:"What encrypts the tokens that are kept, with refresh_token: 32 characters or more, from the environment."`
}

type loginFile struct {
	_            struct{}         `one:"field answer_header cookie"`
	Path         text             `key:"path,required" doc:"Path of the login, appended to base_url."`
	Method       text             `key:"method" doc:"Method of the login." words:"GET POST PUT" default:"POST"`
	Body         object[bodyFile] `key:"body" doc:"Body of the login: the user and the password."`
	Field        dottedPath       `key:"field" doc:"Field of the answer with the token."`
	AnswerHeader text             `key:"answer_header" doc:"Header of the answer with the token."`
	Cookie       text             `key:"cookie" doc:"Name of the cookie that the answer sets; it is sent back as a cookie."`
	ExpiresIn    dottedPath       `key:"expires_in" doc:"Field of the answer with the lifetime of the token in seconds."`
	Lifetime     duration         `key:"lifetime" doc:"Lifetime of a token where the answer does not tell; 0s: until it is refused." max:"8760h" default:"0s"`
	Header       text             `key:"header" doc:"Header that takes the token in each request." default:"Authorization"`
	Prefix       text             `key:"prefix" doc:"What stands before the token in the header." default:"Bearer " empty:"ok"`
	Param        text             `key:"param" doc:"Query parameter that takes the token, in the place of header."`
}

type apiKeyFile struct {
	_      struct{} `one:"header param"`
	Header text     `key:"header" doc:"Header that takes the key."`
	Param  text     `key:"param" doc:"Query parameter that takes the key."`
	Value  secrets  `key:"value,required" doc:"The API key; a reference such as ${API_KEY} keeps it out of the file. A list of keys: when the quota of one is used up, or it is refused, another takes its turn."`
}

type rateLimitFile struct {
	Requests integer  `key:"requests,required" doc:"Requests allowed in each per." min:"1" max:"1000000"`
	Per      duration `key:"per" doc:"The period in which so many requests may be sent: 1s, 1m." min:"1ms" max:"24h" default:"1s"`
	Burst    integer  `key:"burst" doc:"How many may be sent at once after a rest." min:"1" max:"1000000" default:"1"`
}

type retryFile struct {
	Initial  duration `key:"initial" doc:"About how long to wait before the second attempt; it doubles from there." min:"1ms" max:"1h" default:"500ms"`
	Max      duration `key:"max" doc:"The longest wait between two attempts." min:"1ms" max:"24h" default:"1m"`
	Attempts integer  `key:"attempts" doc:"How often one page is tried before the pass is given up and begun again later." min:"1" max:"1000" default:"10"`
}

type streamFile struct {
	Ingest  object[ingestFile] `key:"ingest,required" doc:"How the records are fetched; where they are in an answer, and how it continues from page to page."`
	Process list[stepFile]     `key:"process" doc:"What is done to each record, in order; absent: its own fields pass as they are."`
	Sink    object[sinkFile]   `key:"sink,required" doc:"The table that the rows go to."`
}

// ingestFile is a stream's ingest.
type ingestFile struct {
	_              struct{}            `one:"path webhook"`
	Path           text                `key:"path" doc:"Path of the resource, appended to base_url, such as /orders; it may hold placeholders: {slice name}, {since}, {cursor}, {limit}, {parent.field}."`
	ForEach        text                `key:"for_each" doc:"Name of a stream of this file, the parent: requests are made for each of its records, and {parent.field} in path, query, headers and body takes a field of it. A record that is written again has them made again, and no other has."`
	OnParentDelete text                `key:"on_parent_delete" doc:"What becomes of the records that were fetched for a record of the parent, when that is deleted: keep, they stay; delete, they are deleted too." words:"keep delete" default:"keep"`
	Add            mapping[text]       `key:"add" doc:"Fields that each record is given beside its own, as name: text; a text that is nothing but a placeholder takes the value as it is: {order_id: \"{orders.id}\"}. They may stand in key, and in process."`
	Job            object[jobFile]     `key:"job" doc:"The request creates a report job: it is asked for until it is done, and then its files are fetched. The job's name is kept, so that no restart creates another."`
	Events         object[eventsFile]  `key:"sse" doc:"The answer is a stream of Server-Sent Events, which is followed without end; {}: each event's data is a record."`
	Webhook        object[webhookFile] `key:"webhook" doc:"The API calls us: its deliveries are the records, and nothing is asked for."`
	ingestSharedFile
}

// ingestSharedFile is what defaults may hold for all streams.
type ingestSharedFile struct {
	httpFile
	Records     choice[recordsFile]     `key:"records" doc:"Where in the body the records are, as a path: names with dots between them, a name with other signs in double quotes; absent: the body itself. There is an array, or what the mapping says." words:"*"`
	BodyFormat  choice[formatFile]      `key:"format" doc:"How the body is written: json; ndjson, one JSON text after the other, each a record; csv, each row is a record of texts; xml, which becomes JSON; absent: as its Content-Type says, else json." words:"json ndjson csv xml"`
	ZipEntry    text                    `key:"zip_entry" doc:"Name of the file in a body that is a zip archive; * stands for any part of it. Absent: the archive has one file."`
	Method      text                    `key:"method" doc:"Method of the requests; absent: GET, or POST where there is a body." words:"GET POST PUT PATCH QUERY"`
	Query       mapping[texts]          `key:"query" doc:"Query parameters of each request, with one value or a list of them; values may hold placeholders: {slice name}, {since}, {cursor}, {limit}. One that stands for nothing leaves its parameter out." empty:"ok"`
	Body        object[bodyFile]        `key:"body" doc:"Body of each request; its texts may hold placeholders, as those of query. What holds one that stands for nothing is left out."`
	Key         dottedPaths             `key:"key" doc:"Field, or list of fields, that tells one record from another, as dotted paths. Required, here or in defaults."`
	Version     choice[versionFile]     `key:"version" doc:"Field that grows with each revision of a record; absent: incremental.field; none: there is no such field." words:"*"`
	TimeZone    text                    `key:"time_zone" doc:"Zone of times that name none, such as Europe/Berlin or UTC; absent: they are read as UTC, and each pass looks back a day." examples:"UTC Europe/Berlin"`
	Unreadable  text                    `key:"unreadable" doc:"What becomes of a record whose version or incremental field cannot be read: letter, a dead letter; wait, the stream waits at its page." words:"letter wait" default:"letter"`
	Paginate    choice[paginateFile]    `key:"paginate" doc:"How the next page is asked for; auto: as the first page shows, which then stays so; absent: everything comes at once." words:"link auto"`
	EmptyPages  integer                 `key:"empty_pages" doc:"Pages without records that are followed in a row at most, where each says that there is another; beyond, the stream waits." min:"1" max:"1000000" default:"100"`
	ErrorWhen   text                    `key:"error_when" doc:"An expression over the body without its records that is true of an error, whatever the status of the answer: code != 0. Absent: errors, error or fault that is not empty, ok or success that is false, status that is error or fail. false: nothing is."`
	Errors      list[errorFile]         `key:"errors" doc:"What is done about answers that are no pages, by status and body; the first rule that holds counts. Absent: 408, 425, 429 and 5xx are tried again, and so are errors with status 200; other statuses need an operator."`
	NullIsEmpty flag                    `key:"null_is_empty" doc:"null in the place of the records means that there are none; else it is an error: the stream waits at its page." default:"false"`
	Incremental object[incrementalFile] `key:"incremental" doc:"Ask only for what has changed; absent: every pass fetches everything."`
	Deletes     choice[deletesFile]     `key:"deletes" doc:"How it is known what was deleted at the API; complete_read: a key that a complete read does not show any more is. Absent: what the API shows no more stays." words:"complete_read"`
	Slices      mapping[texts]          `key:"slices" doc:"Cuts the stream into slices that are fetched in parallel: {name} in path, query, headers and body takes each value. Several lists are crossed: there is a slice for each combination." minItems:"1"`
	Disjoint    flag                    `key:"disjoint" doc:"true: a key shows up in one slice alone, and never moves to another; false: it may, so what is fetched again is written again. Slices need it, unless $slice is in key." default:"false"`
	Every       duration                `key:"every" doc:"From the start of a pass to the start of the next; 0s: one pass, then done. With for_each: how old what was fetched for a record may be at most; 0s: it is fetched again only when the record changes." max:"8760h" default:"0s"`
	Cron        choice[cronFile]        `key:"cron" doc:"When passes begin, in the place of every, as in crontab: \"30 2 * * *\" is half past two, in UTC; the first pass begins at once, and one that was due while no process ran is made up for, once." words:"*"`
	Concurrency integer                 `key:"concurrency" doc:"Pages in flight at most, in one slice, where pages can be addressed." min:"1" max:"256" default:"8"`
}

// deletesFile says how it is known what was deleted.
type deletesFile struct {
	When     text                `key:"when" doc:"An expression over a record that is true if the record says that it was deleted: deleted == true. Its key is deleted, and what else it holds is dropped."`
	By       text                `key:"by" doc:"complete_read: what a complete read of the stream, or of a slice, does not show any more is deleted. A read that failed, was cut short or passed over something deletes nothing." words:"complete_read"`
	Resource object[deletedFile] `key:"resource" doc:"Another resource of the API that lists what was deleted: each of its records deletes the key that it holds."`
	AtMost   percent             `key:"at_most" doc:"How many of the known keys one complete read may delete, in percent. Beyond, it deletes nothing, tells so, and waits for millrace deletes --allow. One key may always go, unless no other is left." min:"0%" max:"100%" default:"10%"`
	Every    duration            `key:"every" doc:"From the start of one complete read to the start of the next, where the other passes ask only for changes (incremental, keep). Absent: each pass is a complete read." max:"8760h" default:"0s"`
	Steady   flag                `key:"steady" doc:"Nothing slips between two pages while records come and go, as where pages are in the order of the key. Then one complete read is enough; else, where there are several pages, the next one has to confirm it." default:"false"`
	NotFound text                `key:"on_not_found" doc:"What 404 or 410 in the place of the first page means, with for_each: keep, nothing is known; delete, what was fetched for that record of the parent is deleted. Of eight such answers in a row, the last deletes nothing." words:"keep delete" default:"keep"`
	MaxKeys  integer             `key:"max_keys" doc:"How many keys of the stream one process remembers, about 60 bytes each. With more, nothing is deleted." min:"1000" max:"1000000000" default:"1000000"`
}

// deletedFile is a resource that lists what was deleted. What it does not say is as in the stream's ingest.
type deletedFile struct {
	Path        text                    `key:"path,required" doc:"Path of the resource, appended to base_url; it may hold placeholders, as the stream's."`
	Method      text                    `key:"method" doc:"Method of the requests; absent: GET, or POST where there is a body." words:"GET POST PUT PATCH QUERY"`
	Query       mapping[texts]          `key:"query" doc:"Query parameters of each request, as those of the stream." empty:"ok"`
	Body        object[bodyFile]        `key:"body" doc:"Body of each request, as that of the stream."`
	Records     choice[recordsFile]     `key:"records" doc:"Where in the body the records are, as a path; absent: the body itself." words:"*"`
	Key         dottedPaths             `key:"key" doc:"Field, or list of fields, with what the stream's key is made of, in its order; absent: the same fields."`
	Version     choice[versionFile]     `key:"version" doc:"Field that says when a record was deleted, on the scale of the stream's version; absent: incremental.field." words:"*"`
	Paginate    choice[paginateFile]    `key:"paginate" doc:"How the next page is asked for; absent: everything comes at once." words:"link"`
	Incremental object[incrementalFile] `key:"incremental" doc:"Ask only for what was deleted since; absent: every pass fetches everything."`
	Every       duration                `key:"every" doc:"From the start of a pass to the start of the next; absent: as that of the stream." max:"8760h" default:"0s"`
}

// bodyFile is the body of a request.
type bodyFile struct {
	_       struct{}            `one:"json form graphql text"`
	JSON    jsonValue           `key:"json" doc:"Any value, sent as JSON. A text that is nothing but a placeholder takes the value as it is, a number as a number; {since:text} is always a text."`
	Form    mapping[texts]      `key:"form" doc:"Fields, sent as those of a form (application/x-www-form-urlencoded)." empty:"ok"`
	GraphQL object[graphQLFile] `key:"graphql" doc:"A query of GraphQL, and its variables."`
	Text    text                `key:"text" doc:"A text, sent as it is."`
	Type    text                `key:"type" doc:"Content-Type; absent: that of the kind: application/json, application/x-www-form-urlencoded, text/plain."`
}

type graphQLFile struct {
	Query     text      `key:"query,required" doc:"The query, sent as it is: its braces are no placeholders."`
	Variables jsonValue `key:"variables" doc:"The variables, a mapping; its texts may hold placeholders."`
}

// errorFile says what is done about some answers.
type errorFile struct {
	Status texts    `key:"status" doc:"Statuses that the rule is about: 404, or 5xx for all that begin so; absent: any."`
	When   text     `key:"when" doc:"An expression over the body, of a page without its records, that must be true: error.code == \"quota\". Absent: any body."`
	Do     text     `key:"do,required" doc:"What is done: retry, the same request again; wait, the API rests, then again, any number of times; skip, the page counts as one without records; end, it counts as one past the last; fail, an operator is needed; refresh, the token is renewed, then again once; split, the query has too many records and is cut, see incremental.window." words:"retry wait skip end fail refresh split"`
	For    duration `key:"for" doc:"How long wait rests, where Retry-After does not tell; absent: as before a retry." max:"24h" default:"0s"`
}

// formatFile is how a body is written, where that has settings.
type formatFile struct {
	_   struct{}        `one:"csv"`
	CSV object[csvFile] `key:"csv" doc:"Comma-separated values (RFC 4180): each row is a record of texts."`
}

type csvFile struct {
	Delimiter text  `key:"delimiter" doc:"Character between the fields, such as ; or tab." default:","`
	Names     texts `key:"names" doc:"Names of the fields, where the first row has none; absent: the first row has them."`
}

type recordsFile struct {
	_       struct{}   `one:"array map object values rows"`
	Rows    text       `key:"rows" doc:"Path of an array of arrays; $ is the body. Each is a row, whose values become fields; the first row has their names, unless columns or names is set."`
	Columns dottedPath `key:"columns" doc:"Path of an array in the body with the names of the values of rows: texts, or objects with a name."`
	Names   texts      `key:"names" doc:"Names of the values of rows, where the body does not have them."`
	Array   text       `key:"array" doc:"Path of an array of records; $ is the body. Nothing else is taken for records."`
	Map     text       `key:"map" doc:"Path of an object whose members are the records; $ is the body."`
	Object  text       `key:"object" doc:"Path of an object that is the only record; $ is the body."`
	Values  text       `key:"values" doc:"Path of an array of texts, numbers, or true and false; $ is the body. Each becomes a record with one field."`
	KeyAs   text       `key:"key_as" doc:"Field of the record that takes the name of a map's member; absent: the name is dropped."`
	As      text       `key:"as" doc:"Field that takes a value that is no object; absent: of values the field of key, of a map value."`
}

type paginateFile struct {
	_      struct{}           `one:"page offset cursor link keyset relay"`
	Page   object[pageFile]   `key:"page" doc:"Pages have numbers: ?page=1&per_page=100."`
	Offset object[offsetFile] `key:"offset" doc:"Pages begin after a number of records: ?offset=200&limit=100."`
	Cursor object[cursorFile] `key:"cursor" doc:"The body names the next page."`
	Link   object[linkFile]   `key:"link" doc:"The Link header names the next page (RFC 8288)."`
	Keyset object[keysetFile] `key:"keyset" doc:"The next page begins after the last record of this one: ?starting_after=<its id>."`
	Relay  dottedPath         `key:"relay" doc:"Path of the pageInfo of a connection of GraphQL: data.orders.pageInfo. The variable that takes its endCursor is {cursor}."`
}

type pageFile struct {
	Param     text             `key:"param" doc:"Query parameter that takes the number; absent: it stands where {cursor} is in the request."`
	Start     integer          `key:"start" doc:"Number of the first page." min:"0" max:"1000000000" default:"1"`
	SizeParam text             `key:"size_param" doc:"Query parameter that takes size; absent: the size is not sent."`
	Size      integer          `key:"size" doc:"Records in a full page." min:"1" max:"1000000"`
	Stop      choice[stopFile] `key:"stop" doc:"How the last page is known: empty: it has no records; short: it has fewer than size, and a page before it had as many; repeat: it is the page before once more; or by a field of the body." words:"empty short repeat" default:"empty"`
	PastEnd   texts            `key:"past_end" doc:"HTTP statuses with which the API answers for a page after the last one, such as 404; absent: none, so that such an answer is an error."`
}

type offsetFile struct {
	Param      text             `key:"param" doc:"Query parameter that takes the offset; absent: it stands where {cursor} is in the request."`
	LimitParam text             `key:"limit_param" doc:"Query parameter that takes limit; absent: the limit is not sent."`
	Limit      integer          `key:"limit,required" doc:"Records in a full page." min:"1" max:"1000000"`
	Start      integer          `key:"start" doc:"Offset of the first record." min:"0" max:"1000000000" default:"0"`
	Stop       choice[stopFile] `key:"stop" doc:"How the last page is known: empty: it has no records; short: it has fewer than limit, and a page before it had as many; repeat: it is the page before once more; or by a field of the body." words:"empty short repeat" default:"empty"`
	PastEnd    texts            `key:"past_end" doc:"HTTP statuses with which the API answers for an offset after the last record, such as 404; absent: none, so that such an answer is an error."`
}

type stopFile struct {
	_           struct{}   `one:"total pages has_more end total_header pages_header"`
	Total       dottedPath `key:"total" doc:"Field of the body with the number of all records."`
	Pages       dottedPath `key:"pages" doc:"Field of the body with the number of all pages."`
	HasMore     dottedPath `key:"has_more" doc:"Field of the body that is true while there are more pages, or the number of what is left."`
	End         dottedPath `key:"end" doc:"Field of the body that is true on the last page, such as end_of_stream."`
	TotalHeader text       `key:"total_header" doc:"Header of the answer with the number of all records, such as X-WP-Total."`
	PagesHeader text       `key:"pages_header" doc:"Header of the answer with the number of all pages, such as X-WP-TotalPages."`
}

// cursorStopFile is what may say, beside a cursor, whether it leads anywhere.
type cursorStopFile struct {
	_       struct{}   `one:"has_more end"`
	HasMore dottedPath `key:"has_more" doc:"Field of the body that is true while there are more pages, or the number of what is left, such as pending."`
	End     dottedPath `key:"end" doc:"Field of the body that is true on the last page, such as end_of_stream."`
}

type cursorFile struct {
	_          struct{}               `one:"next header"`
	Next       dottedPath             `key:"next" doc:"Field of the body with the cursor of the next page; null, empty, 0 or false: this is the last. One that is missing on the first page is an error if anything says that there is more, else a notice."`
	Header     text                   `key:"header" doc:"Header of the answer with the cursor of the next page; one that is empty or missing: this is the last."`
	Param      text                   `key:"param" doc:"Query parameter that takes the cursor; absent: it stands where {cursor} is in the request, or, if that is nowhere, it is a URL and is followed."`
	As         text                   `key:"as" doc:"What the cursor is: value, sent back as it is; url, which is followed; params, a URL of which only the parameters are taken, into the request; members, an object whose members become parameters. Absent: value with param or {cursor}, else url." words:"value url params members"`
	Take       text                   `key:"take" doc:"Parameter in the query of a cursor that is a URL: only its value is the cursor."`
	First      text                   `key:"first" doc:"The cursor of the first page, such as *; absent: the first page is asked for without one."`
	Stop       object[cursorStopFile] `key:"stop" doc:"A field that says whether there is more, beside a cursor that is always there."`
	AbsentEnds flag                   `key:"absent_ends" doc:"The API leaves next out where there is no other page, so that a pass of one page is no reason for a notice." default:"false"`
	Keep       object[keepFile]       `key:"keep" doc:"The last page gives a position from which the next pass continues, for what has changed since; absent: each pass begins again. 410, and 400, 404 or 422, for a pass that continues from it mean that it has expired: everything is asked for again."`
}

// keepFile is a position that outlives a pass.
type keepFile struct {
	Field dottedPath `key:"field" doc:"Field of the last page with the position from which the next pass continues: @odata.deltaLink, nextSyncToken, last_seq; absent: next."`
	Param text       `key:"param" doc:"Query parameter that takes it, on each page of a pass; absent: it takes the place of the first cursor."`
}

type keysetFile struct {
	Field     dottedPath       `key:"field,required" doc:"Field of the last record that is sent back: id."`
	Param     text             `key:"param" doc:"Query parameter that takes it; absent: it stands where {cursor} is in the request."`
	First     text             `key:"first" doc:"What the first page is asked for with, such as 0; absent: nothing."`
	SizeParam text             `key:"size_param" doc:"Query parameter that takes size; absent: the size is not sent."`
	Size      integer          `key:"size" doc:"Records in a full page." min:"1" max:"1000000"`
	Stop      choice[stopFile] `key:"stop" doc:"How the last page is known: empty: it has no records; short: it has fewer than size, and a page before it had as many; or by a field of the body or a header." words:"empty short" default:"empty"`
}

type linkFile struct {
	Rel        text `key:"rel" doc:"Relation of the link to follow." default:"next"`
	As         text `key:"as" doc:"What is done with the link: url, it is followed; params, only the parameters of its query are taken, into the request: host and path stay." words:"url params" default:"url"`
	AbsentEnds flag `key:"absent_ends" doc:"The API leaves the Link header out where there is no other page, so that a pass of one page is no reason for a notice." default:"false"`
}

type incrementalFile struct {
	Field    dottedPath         `key:"field,required" doc:"Field of a record that says when it was changed last, or counts its changes."`
	Param    text               `key:"param" doc:"Query parameter that asks for records changed since; absent: the time stands where {since} is in the request."`
	Start    text               `key:"start" doc:"Since when the first pass asks, in format; absent: the first pass asks without the parameter."`
	Lookback duration           `key:"lookback" doc:"How far before the newest change the next pass begins, for changes that show up late." max:"8760h" default:"0s"`
	Order    text               `key:"order" doc:"newest_first: the API answers with the newest records first, by field, and a pass ends at what the passes before have fetched; param may be left out. Absent: a pass fetches all pages." words:"newest_first"`
	Window   object[windowFile] `key:"window" doc:"Cuts what lies between start and now into windows of time, which are fetched at once, beside passes for what is new; absent: the first pass asks for all of it."`
	Format   text               `key:"format" doc:"How the parameter is written: rfc3339, date, unix, unix_ms, unix_us, unix_ns or integer; or how the field and the parameter are, as in strftime; absent: as the field is." examples:"rfc3339 date unix unix_ms unix_us unix_ns integer %d.%m.%Y"`
}

// windowFile is how the past is cut.
type windowFile struct {
	Step       duration `key:"step,required" doc:"Length of a window." min:"1s" max:"87600h"`
	Param      text     `key:"param" doc:"Query parameter that asks for records changed before the end of a window; absent: the end stands where {until} is in the request. A pass asks without it."`
	Bounds     text     `key:"bounds" doc:"Whether the API includes what lies on since and until: inclusive, exclusive; or days, both are whole days that it includes. Of the first two, inclusive is always right." words:"inclusive exclusive days" default:"inclusive"`
	AtOnce     integer  `key:"at_once" doc:"Windows under way at most, in one slice." min:"1" max:"64" default:"8"`
	MaxResults integer  `key:"max_results" doc:"How many records the API shows of one query at most; a window that has more is cut in two, again and again. Absent: all." min:"1" max:"1000000000"`
}

// versionFile is what can be told of a version.
type versionFile struct {
	Field   dottedPath `key:"field,required" doc:"Field that grows with each revision of a record."`
	As      text       `key:"as" doc:"How its values are compared: time, number, unsigned (whole numbers up to 64 bits), digits (the first digits of a text, as of v12), hex; absent: whole numbers, and times." words:"time number unsigned digits hex"`
	Scale   integer    `key:"scale" doc:"How many digits behind the point count, of versions that are numbers." min:"0" max:"18" default:"0"`
	Format  text       `key:"format" doc:"How times are written, as in strftime, where it is none of the common forms." examples:"%d.%m.%Y"`
	Missing text       `key:"missing" doc:"What a record without it is, where others have it: newest, as new as the newest of the slice so far; oldest, older than all with it; letter, a dead letter. Absent: newest if it is incremental.field, too, else letter." words:"newest oldest letter"`
}

type stepFile struct {
	_      struct{}           `one:"filter map transform"`
	Filter choice[filterFile] `key:"filter" doc:"An expression: records pass for which it is true; the row of others is removed." words:"*"`
	Map    mapping[text]      `key:"map" doc:"The columns of the row, each by an expression over the record's fields." minItems:"1"`

	Transform text `key:"transform" doc:"A transform written in Go that this binary has, by name and version: distance@1. It is given the record, and stands before the first map; see package transform."`
}

type filterFile struct {
	If   text `key:"if,required" doc:"An expression: records pass for which it is true."`
	Once flag `key:"once" doc:"The condition never changes for a key: a refused record then sends nothing, instead of removing a row." default:"false"`
}

type sinkFile struct {
	Table   text          `key:"table" doc:"Name of the table; it is created if it is missing." default:"<stream>"`
	Columns mapping[text] `key:"columns,required" doc:"The columns and their MySQL types: bigint key, varchar(255), decimal(12,2) not null." minItems:"1"`
}
