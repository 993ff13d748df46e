"""The vocabularies of generated names, variables, arguments and messages."""

from __future__ import annotations


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PRODUCTS = _split(
    "checkout basket catalog pricing ledger invoice payout refund loyalty coupon search ranking feed profile identity "
    "session consent notifier mailer courier shipment parcel warehouse stock supplier returns fraud risk scoring "
    "reporting insight metrics telemetry audit archive document media thumbnail transcoder playlist chat presence "
    "calendar booking seating ticket voucher quote policy claim tariff meter billing account wallet exchange "
    "settlement treasury onboarding kyc geo routing fleet driver dispatch"
)
ROLES = _split(
    "api worker gateway backend frontend consumer scheduler sync importer exporter indexer cache proxy web admin "
    "processor bridge stream relay resolver store batch webhook controller operator"
)
STAGES = ("prod", "staging", "dev", "qa", "canary")
TEAMS = _split(
    "orion lynx falcon cedar basalt harbor juniper quartz saffron tundra vega willow zephyr amber cobalt delta ember "
    "fjord granite heron"
)
SYSTEM_NAMESPACES = _split(
    "kube-system monitoring ingress-system logging cert-system mesh-system storage-system backup-system "
    "autoscaling policy-system secrets-system gitops"
)
DAEMON_SETS = _split(
    "node-proxy cni-agent csi-node log-shipper node-metrics dns-cache mesh-node security-agent image-prefetch "
    "gpu-plugin time-sync disk-health trace-agent registry-mirror node-problem-agent kernel-tuner volume-scrubber "
    "flow-exporter audit-forwarder power-meter smart-nic hugepage-agent spot-watcher token-agent"
)
STATIC_PODS = ("kube-apiserver", "kube-scheduler", "kube-controller-manager", "etcd")
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
NODE_POOLS = ("general", "general", "general", "compute", "memory", "spot", "gpu")

SETTING_SUBJECTS = _split(
    "ACCOUNT AUDIT AUTH BATCH BILLING BROKER BUFFER CACHE CATALOG CIRCUIT CLIENT CONSENT CONSUMER CURRENCY DATABASE "
    "DEADLETTER DOCUMENT EXPORT FEATURE FEED GEO GRPC HEALTH HTTP IDENTITY IMPORT INDEX INVENTORY INVOICE JOB LEDGER "
    "LIMIT LOCK MAIL MEDIA METRICS NOTIFICATION OBJECTSTORE ORDER OUTBOX PARTNER PAYMENT PRICE PROFILE QUEUE RATE "
    "RECON REDIS REFUND REPORT RETRY SCHEMA SEARCH SESSION SHIPMENT SIGNING SMTP SNAPSHOT STOCK STREAM TAX TENANT "
    "THREAD TOKEN TRACE UPSTREAM USER VAULT WAREHOUSE WEBHOOK WORKER"
)
SETTING_KINDS = _split(
    "URL URL URL HOST HOST PORT ENABLED ENABLED ENABLED TIMEOUT TIMEOUT_MS MAX_SIZE POOL_SIZE TTL_SECONDS INTERVAL "
    "BATCH_SIZE TOPIC TOPIC GROUP_ID BUCKET REGION PATH LEVEL MODE NAME PREFIX CONCURRENCY CRON PASSWORD PASSWORD "
    "API_KEY SECRET USERNAME DSN PUBLIC_KEY ALLOWED_ORIGINS RETRIES ENDPOINT CREDENTIALS_FILE FORMAT"
)
FLAGS = _split(
    "listen metrics-addr health-probe-bind-address leader-elect log-format v config zone sync-period resync-interval "
    "max-concurrent-reconciles kube-api-qps kube-api-burst watch-namespace cert-dir webhook-port default-backend "
    "publish-service election-id ingress-class enable-profiling storage-path retention web-external-url "
    "tls-cert-file tls-private-key-file client-ca-file cluster-name cloud-provider provisioner feature-gates "
    "timeout worker-threads cache-size endpoint csi-address kubelet-registration-path extra-labels scrape-interval "
    "remote-write-url audience issuer upstream cookie-secret-file skip-auth-regex request-timeout shutdown-grace "
    "bind-port advertise-address query-timeout max-body-size drain-interval snapshot-interval "
    "allow-privileged-ports admission-plugins service-cluster-ip-range"
)
VERBS = _split(
    "reconcile publish validate enrich merge expire refresh prefetch rotate compact replay forward deduplicate "
    "aggregate throttle encrypt retry shard rebalance archive"
)
NOUNS = _split(
    "orders payments customers sessions invoices shipments events snapshots partitions segments tokens quotas tenants "
    "prices vouchers documents messages positions routes devices batches certificates backends connections replicas"
)
METRICS = _split(
    "requests_total request_duration_seconds errors_total queue_depth inflight_requests bytes_sent_total "
    "cache_hits_total cache_misses_total connections_open consumer_lag retries_total gc_pause_seconds heap_bytes "
    "open_files batch_duration_seconds records_processed_total last_success_timestamp_seconds saturation_ratio"
)
POD_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
