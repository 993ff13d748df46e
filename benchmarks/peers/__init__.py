"""The peers: informers that people could use, kinform included.

All follow the same objects. Each peer is a program in its own process, in its own language, as its users would write
it, that reads commands. Its one argument is a JSON object:

    url         "http://127.0.0.1:8080" of an API server; "https://..." with `ca`
    resource    "v1/pods", "v1/namespaces": group/version/plural, or version/plural
    mode        one of the program's modes; the first is its default
    ca          the path of a PEM file to trust, or null
    token       a bearer token, or null

Commands come on standard input, one a line: `{"do": NAME, "with": {...}}`. The program answers each with one line of
JSON on standard output when it is done, and writes nothing else there. It ends when standard input ends.

    versions    {}                  Returns {NAME: VERSION} of the libraries and the language.
    connect     {}                  Creates the client, without a request to the server. Returns null.
    sync        {}                  Starts to follow the collection in all namespaces. Returns null when the store holds
                                    the complete initial state.
    reach       {"version": "123"}  Returns the number of handler calls so far, once the handler was called for an
                                    object of that resourceVersion. The handler is called for each event (added,
                                    updated, deleted) after the store has applied it.
    digest      {"whole": false}    Goes through the whole store; without `whole` it may leave out the content. Returns
                                    {"objects": N, "identity": HEX}, as in `benchmarks.harness.digest`, and "content"
                                    if it keeps objects as the server sent them.

An ERROR event of code 410 on the watch causes a relist. A program whose library cannot continue from there does what
its users do: it lists again, and watches from there.
"""
