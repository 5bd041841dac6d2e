"""One file per proxy: how it is configured and started for a front."""
from .haproxy import HAProxy
from .nginx import Nginx
from .peer import Front, Route
from .pointsman import Pointsman

ALL = {peer.key: peer for peer in (Pointsman, HAProxy, Nginx)}
