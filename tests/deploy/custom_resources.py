"""Strict schemas of the custom resources, in as far as the chart uses them.

They are of the operators' own API references: KEDA's ScaledObject (keda.sh/v1alpha1),
ServiceMonitor and PrometheusRule (monitoring.coreos.com/v1), HTTPRoute
(gateway.networking.k8s.io/v1). A field that stands in neither is refused.
"""


def of(required, **optional):
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": [*required],
        "additionalProperties": False,
    }


def each(item, **more):
    return {"type": "array", "items": item, **more}


TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
SECONDS = {"type": "string", "pattern": "^[0-9]+(s|m)$"}


def resource(spec):
    metadata = of({"name": TEXT, "labels": TEXTS})
    return of({"apiVersion": TEXT, "kind": TEXT, "metadata": metadata, "spec": spec})


SCALED_OBJECT = resource(
    of(
        {
            "scaleTargetRef": of(
                {
                    "apiVersion": {"const": "apps/v1"},
                    "kind": {"const": "StatefulSet"},
                    "name": TEXT,
                }
            ),
            "minReplicaCount": COUNT,
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "pollingInterval": COUNT,
            "advanced": of(
                {
                    "horizontalPodAutoscalerConfig": of(
                        {
                            "behavior": of(
                                {
                                    "scaleDown": of(
                                        {
                                            "stabilizationWindowSeconds": {
                                                "type": "integer",
                                                "minimum": 0,
                                                "maximum": 3600,
                                            },
                                            "policies": each(
                                                of(
                                                    {
                                                        "type": {"const": "Pods"},
                                                        "value": COUNT,
                                                        "periodSeconds": {
                                                            "type": "integer",
                                                            "minimum": 1,
                                                            "maximum": 1800,
                                                        },
                                                    }
                                                )
                                            ),
                                        }
                                    )
                                }
                            )
                        }
                    )
                }
            ),
            "triggers": each(
                of(
                    {
                        "type": {"const": "prometheus"},
                        "name": TEXT,
                        "metricType": {"enum": ["AverageValue", "Value"]},
                        # KEDA takes nothing but texts here.
                        "metadata": of(
                            {"serverAddress": TEXT, "query": TEXT, "threshold": TEXT},
                            ignoreNullValues={"enum": ["true", "false"]},
                        ),
                    }
                ),
                minItems=1,
            ),
        }
    )
)

SERVICE_MONITOR = resource(
    of(
        {
            "jobLabel": TEXT,
            "selector": of({"matchLabels": TEXTS}),
            "endpoints": each(
                of(
                    {
                        "port": TEXT,
                        "path": TEXT,
                        "interval": SECONDS,
                        "authorization": of(
                            {
                                "type": TEXT,
                                "credentials": of({"name": TEXT, "key": TEXT}),
                            }
                        ),
                        "relabelings": each(
                            of({"sourceLabels": each(TEXT), "targetLabel": TEXT})
                        ),
                    }
                )
            ),
        }
    )
)

PROMETHEUS_RULE = resource(
    of(
        {
            "groups": each(
                of(
                    {
                        "name": TEXT,
                        "rules": each(
                            of(
                                {
                                    "alert": TEXT,
                                    "expr": TEXT,
                                    "labels": TEXTS,
                                    "annotations": TEXTS,
                                },
                                **{"for": SECONDS},
                            )
                        ),
                    }
                )
            )
        }
    )
)

PATH = {"type": "string", "pattern": "^/"}
HTTP_ROUTE = resource(
    of(
        {
            "parentRefs": each(of({"name": TEXT}, namespace=TEXT), minItems=1),
            "hostnames": each(TEXT),
            "rules": each(
                of(
                    {
                        "matches": each(
                            of(
                                {
                                    "path": of(
                                        {"type": {"const": "PathPrefix"}, "value": PATH}
                                    )
                                }
                            )
                        ),
                        "backendRefs": each(of({"name": TEXT, "port": COUNT})),
                    },
                    filters=each(
                        of(
                            {
                                "type": {"const": "URLRewrite"},
                                "urlRewrite": of(
                                    {
                                        "path": of(
                                            {
                                                "type": {"const": "ReplacePrefixMatch"},
                                                "replacePrefixMatch": PATH,
                                            }
                                        )
                                    }
                                ),
                            }
                        )
                    ),
                    timeouts=of({"request": SECONDS}),
                ),
                maxItems=16,
            ),
        }
    )
)

CUSTOM = {
    ("keda.sh/v1alpha1", "ScaledObject"): SCALED_OBJECT,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): SERVICE_MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PROMETHEUS_RULE,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTP_ROUTE,
}
