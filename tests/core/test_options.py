"""Options: an invalid value is refused, with field, value and what is allowed."""

from __future__ import annotations

import pytest

from kinform._errors import NotFoundError, OptionError
from kinform._options import Backoff, Prune, Resource, Scope, WatchOptions


@pytest.mark.parametrize(
    ("text", "path", "namespaced"),
    [
        ("v1/pods", "/api/v1/pods", "/api/v1/namespaces/shop/pods"),
        ("apps/v1/deployments", "/apis/apps/v1/deployments", "/apis/apps/v1/namespaces/shop/deployments"),
        (
            "example.com/v1alpha1/widgets",
            "/apis/example.com/v1alpha1/widgets",
            "/apis/example.com/v1alpha1/namespaces/shop/widgets",
        ),
    ],
)
def test_a_resource_is_group_version_and_plural(text, path, namespaced):
    resource = Resource.of(text)
    assert str(resource) == text
    assert resource.path() == path
    assert resource.path("shop") == namespaced
    assert Resource.of(resource) is resource
    assert hash(resource) == hash(Resource(group=resource.group, version=resource.version, plural=resource.plural))


@pytest.mark.parametrize(
    "text", ["pods", "core/v1/pods", "v1/Pods", "v1/", "/v1/pods", "a/b/c/d", "apps/1/deployments", "v1/pods/x", "", 7]
)
def test_a_malformed_resource_is_refused(text):
    with pytest.raises(OptionError, match="resource") as caught:
        Resource.of(text)
    assert caught.value.value == text
    assert "version/plural" in caught.value.allowed


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("api/v1/pods", "v1/pods"),
        ("/api/v1/pods", "v1/pods"),
        ("apis/apps/v1/deployments", "apps/v1/deployments"),
        ("/apis/apps/v1/deployments/", "apps/v1/deployments"),
        ("v1/Pod", "v1/pods"),
        ("core/v1/pods", "v1/pods"),
        ("networking.k8s.io/v1/NetworkPolicy", "networking.k8s.io/v1/networkpolicies"),
        ("pods", "v1/pods"),
        ("Pod", "v1/pods"),
        ("events", "v1/events"),
        ("deployments", "apps/v1/deployments"),
        ("deployments.apps", "apps/v1/deployments"),
        ("ingresses.networking.k8s.io", "networking.k8s.io/v1/ingresses"),
    ],
)
def test_a_resource_in_another_notation_gets_a_hint(text, meant):
    with pytest.raises(OptionError, match=r"^resource: ") as caught:
        Resource.of(text)
    assert str(caught.value).endswith(f'; did you mean "{meant}"?')


@pytest.mark.parametrize("path", ["v1/namespaces/shop/pods", "/api/v1/namespaces/shop/pods"])
def test_a_path_in_a_namespace_names_the_scope(path):
    with pytest.raises(OptionError) as caught:
        Resource.of(path)
    assert str(caught.value).endswith("; did you mean \"v1/pods\" with Scope(namespaces=['shop'])?")


def test_a_plural_with_its_group_needs_a_version():
    with pytest.raises(OptionError) as caught:
        Resource.of("widgets.example.com")
    assert str(caught.value).endswith('; name the version: "example.com/v1/widgets", if it is v1')


@pytest.mark.parametrize("text", ["podz", "", "api", "v1/Pods and more", "apis/apps/deployments", "v1/Podz"])
def test_a_resource_without_a_valid_guess_gets_no_hint(text):
    with pytest.raises(OptionError) as caught:
        Resource.of(text)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("group", ["api", "apis", "core"])
def test_a_part_of_a_url_is_not_a_group(group):
    with pytest.raises(OptionError, match=r"Resource\.group"):
        Resource(group=group, version="v1", plural="pods")


@pytest.mark.parametrize(
    ("resource", "meant"),
    [
        ("v1/pod", "v1/pods"),
        ("v1/pod in shop", "v1/pods"),
        ("apps/v1/statefulset in shop", "apps/v1/statefulsets"),
        ("policy/v1/poddisruptionbudget", "policy/v1/poddisruptionbudgets"),
        ("networking.k8s.io/v1/ingress", "networking.k8s.io/v1/ingresses"),
        ("networking.k8s.io/v1/networkpolicy", "networking.k8s.io/v1/networkpolicies"),
        ("gateway.networking.k8s.io/v1/gateway", "gateway.networking.k8s.io/v1/gateways"),
        ("example.com/v1/switch", "example.com/v1/switches"),
        ("v1/deployments in shop", "apps/v1/deployments"),
        ("extensions/v1beta1/ingresses", "networking.k8s.io/v1/ingresses"),
        ("batch/v1beta1/cronjobs", "batch/v1/cronjobs"),
    ],
)
def test_404_suggests_the_plural_or_the_group(resource, meant):
    text = str(NotFoundError(resource, 404, "NotFound"))
    assert text.endswith(f"; did you mean {meant}?")
    is_custom = resource.startswith(("example.com/", "gateway."))  # its name cannot be known
    assert ("; the server may not have its CRD, or this group and version; did you mean" in text) == is_custom


@pytest.mark.parametrize(
    "resource", ["v1/pods", "v1/endpoints in shop", "events.k8s.io/v1/events", "v1/nodes", "v1/podz", "apps/v1/deploy"]
)
def test_404_without_a_good_guess_suggests_nothing(resource):
    assert str(NotFoundError(resource, 404)) == f"list {resource}: the server answered 404"


@pytest.mark.parametrize("resource", ["example.com/v1/widgets", "example.com/v1/widgets shop/w"])
def test_404_for_a_custom_resource_asks_for_its_crd(resource):
    text = str(NotFoundError(resource, 404))
    assert text.endswith("; is its CRD installed, and does the server have this group and version?")
    assert "CRD" not in str(NotFoundError(resource, 404, details={"name": "w"}))


@pytest.mark.parametrize("resource", ["v1/nodes in shop", "v1/nodes shop/a", "v1/namespaces in a (labels app=web)"])
def test_404_for_a_cluster_scoped_resource_says_so(resource):
    word = resource.partition(" ")[0].rpartition("/")[2]
    assert str(NotFoundError(resource, 404)).endswith(f"; {word} have no namespace: leave it out")


def test_a_single_string_as_namespaces_is_refused():
    with pytest.raises(OptionError) as caught:
        Scope(namespaces="shop")
    assert str(caught.value) == (
        "Scope.namespaces: 'shop' is not allowed; expected None for all namespaces, or a list of DNS labels "
        '(a-z, 0-9 and "-") like ["shop", "bank"]'
    )


@pytest.mark.parametrize("namespaces", [[], ["Shop"], [""], [7], 7, {"shop": 1}, b"shop", ["a" * 64]])
def test_invalid_namespaces_are_refused(namespaces):
    with pytest.raises(OptionError, match=r"Scope\.namespaces"):
        Scope(namespaces=namespaces)


def test_namespaces_keep_their_order_without_duplicates():
    assert Scope(namespaces=iter(["till", "shop", "till"])).namespaces == ("till", "shop")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Scope(label_selector="a b"), "Scope.label_selector"),
        (lambda: Scope(field_selector="x"), "Scope.field_selector"),
        (lambda: Scope(label_selector=None), "Scope.label_selector"),
        (lambda: Scope(metadata_only="yes"), "Scope.metadata_only"),
        (lambda: Prune(drop="metadata.labels"), "Prune.drop"),
        (lambda: Prune(drop=["a..b"]), "Prune.drop"),
        (lambda: Prune(keep=[7]), "Prune.keep"),
        (lambda: Prune(keep_last=["status.conditions"]), "Prune.keep_last"),
        (lambda: Prune(keep_last={"status.conditions": 0}), "Prune.keep_last"),
        (lambda: WatchOptions(page_size=-1), "WatchOptions.page_size"),
        (lambda: WatchOptions(page_size=1.5), "WatchOptions.page_size"),
        (lambda: WatchOptions(page_size=True), "WatchOptions.page_size"),
        (lambda: WatchOptions(initial="lists"), "WatchOptions.initial"),
        (lambda: WatchOptions(compression="br"), "WatchOptions.compression"),
        (lambda: WatchOptions(watch_timeout=0), "WatchOptions.watch_timeout"),
        (lambda: WatchOptions(watch_timeout=float("inf")), "WatchOptions.watch_timeout"),
        (lambda: WatchOptions(headers_timeout=-1), "WatchOptions.headers_timeout"),
        (lambda: WatchOptions(silence_timeout="9"), "WatchOptions.silence_timeout"),
        (lambda: WatchOptions(max_object_bytes=0), "WatchOptions.max_object_bytes"),
        (lambda: WatchOptions(backoff=0.5), "WatchOptions.backoff"),
        (lambda: WatchOptions(on_error="print"), "WatchOptions.on_error"),
        (lambda: Backoff(initial=0), "Backoff.initial"),
        (lambda: Backoff(initial=2, maximum=1), "Backoff.maximum"),
        (lambda: Backoff(jitter=2), "Backoff.jitter"),
        (lambda: Backoff(refused=float("inf")), "Backoff.refused"),
    ],
)
def test_an_invalid_option_is_refused_by_name(make, field):
    with pytest.raises(OptionError) as caught:
        make()
    assert caught.value.field.startswith(field)
    assert caught.value.allowed


@pytest.mark.parametrize(("field", "method"), [("label_selector", "labels"), ("field_selector", "fields")])
@pytest.mark.parametrize("value", [{"app": "web"}, None, 7])
def test_a_selector_that_is_no_string_names_what_makes_one(field, method, value):
    with pytest.raises(OptionError, match=rf"^Scope\.{field}: .* expected a string like .*`Selector\.{method}`"):
        Scope(**{field: value})


def test_options_are_frozen():
    with pytest.raises(AttributeError):
        WatchOptions().page_size = 1


def test_an_option_error_is_a_value_error():
    with pytest.raises(ValueError, match="page_size"):
        WatchOptions(page_size=-1)
