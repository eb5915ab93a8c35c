from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static

from shop.models import Product


def home(request: HttpRequest) -> HttpResponse:
    try:
        products = f"{Product.objects.count()} products"
    except OperationalError:  # an Instance has its own /tmp: a real shop keeps its database elsewhere
        products = "no database yet"
    return HttpResponse(f"<link rel=stylesheet href={static('shop/style.css')}><p>The shop has {products}</p>")
