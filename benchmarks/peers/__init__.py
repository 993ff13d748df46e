"""Informers that people would pick, kinform among them, each in a process of its own on the same objects.

Each is a program written as its users would write it, in its own language, that obeys orders. It is started with one
argument, a JSON object:

    url         "http://127.0.0.1:8080" of an API server; "https://..." with `ca`
    resource    "v1/pods", "v1/namespaces": group/version/plural, or version/plural
    mode        one of the modes that the program has; the first is its default
    ca          the path of a PEM file to trust, or null
    token       a bearer token, or null

Orders come on standard input, one a line: `{"do": NAME, "with": {...}}`. Each is answered on standard output with one
line of JSON, once it is done; nothing else is written there. The process ends when its standard input does.

    versions    {}                  answers {NAME: VERSION} of all that takes part.
    connect     {}                  makes the client; nothing is asked of the server yet. Answers null.
    sync        {}                  starts to follow the collection in all namespaces; done when its first state is
                                    complete in the store. Answers null.
    reach       {"version": "123"}  done when the handler that is called for each event (added, updated, deleted), after
                                    the store has taken it, was called for an object of that resourceVersion; at once
                                    if it was already. Answers how often it was called in all.
    digest      {"whole": false}    goes through the whole store, and may leave out the content. Answers
                                    {"objects": N, "identity": HEX}, as `benchmarks.harness.digest` says, and "content"
                                    where objects are kept as sent.

A relist is made by an ERROR event of code 410 on the watch. A program that cannot go on from there by its own means
does what its users do: it lists again, and watches from there.
"""
