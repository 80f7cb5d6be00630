"""When to stop a graph's search: the product's rule beside its rivals, on traces of one and the same graph.

`python -m benchmarks.stop --dataset NAME` traces queries that were held out of the index (`data`), ends the
traces by every rule (`rules`, `learned`), calibrates each rule alike and compares them at equal recall on
queries not used for that (`judge`), then times the product itself (`times`) and draws (`pictures`).
"""
